"""The pages of the app: each is one script, whose file name is the page's path in the URL."""
