"""One command a file: the command line, what is printed, and a call of what does the work."""
