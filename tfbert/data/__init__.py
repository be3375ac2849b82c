"""What is read: tasks, where bytes come from, tables, splits, text to batches."""
