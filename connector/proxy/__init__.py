"""The proxy: an existing site points its URL here, and its text searches come back reranked."""
