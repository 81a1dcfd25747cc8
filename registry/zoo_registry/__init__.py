"""The registry: stores artifacts under immutable versions and answers queries about them."""
