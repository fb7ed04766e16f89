"""Who may sign in to the console, what each may do, and the journal of what people did by hand."""
