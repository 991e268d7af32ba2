"""What makes the pages and pictures of docs/. Each module runs from the checkout: `python -m scripts.generate_docs`."""
