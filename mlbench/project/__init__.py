"""The user's project: its files, their layout, its git repository and its interpreter."""
