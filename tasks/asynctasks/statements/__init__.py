"""Every statement on the tables: one module for each who asks.

SQL belongs here and nowhere else but the migrations. What the statements have in common stands in
`conditions`; what is decided with their answers stands with who decides.
"""
