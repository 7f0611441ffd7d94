"""What was measured, as JSON, tables, pictures and a page of the documentation."""
