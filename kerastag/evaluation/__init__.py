"""How well taggers do on clean and on attacked jets."""
