"""The pages of the app: one script a page; its file name is its URL."""
