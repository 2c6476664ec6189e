"""The workbench's own widgets: thin edges around what `draw` gives."""
