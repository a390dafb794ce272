"""Step models of the kinds that people deploy, at their sizes: what an importer must take apart."""
