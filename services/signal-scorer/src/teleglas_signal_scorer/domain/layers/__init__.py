"""One file a layer; `registry.py` has one row for each."""
