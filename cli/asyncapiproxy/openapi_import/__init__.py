"""An operations file made of an upstream's own OpenAPI document.

Reading the document, and saying by the file's words what it says by OpenAPI's, belong here. What
those words mean, and whether a file may be used, is the services' own.
"""
