"""The machines that run graphs: the float64 reference, and the same on any array library."""
