"""Watch, fingerprint, cache, plan and run: which stages an edit touches, and making them so."""
