"""The pages people read: view models and charts are pure, templates and `pages` are the rim.

scales, labels, charts (numbers → SVG) · urls (queries ↔ addresses and commands) · views, artifact,
compare (answers → what a page shows) · reference (OpenAPI → what its page shows) · snippet
(signature → Python) · render (templates, headers).
"""
