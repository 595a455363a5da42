"""Files of strangers: read safely, recognised by content, kept in the user's model folder."""
