"""Views: a model or a file as one page to look at in a browser, and as a picture in a notebook."""
