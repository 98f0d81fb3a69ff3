"""What a person types. Each command is a module; what it needs is imported when it runs, so that help comes at once."""
