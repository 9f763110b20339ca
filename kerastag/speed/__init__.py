"""How fast every part is, and the limit that was measured beside it: what `kerastag benchmark` prints."""
