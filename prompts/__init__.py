"""What a model is told: jinja2 templates and their renderer."""
