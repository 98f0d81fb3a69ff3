"""What survives a power cut: the row-level difference of every step, committed before anyone can see the step."""
