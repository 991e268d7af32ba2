"""Files of other tools as project files: Procfile, compose file, process-compose.yaml, pitchfork.toml.

One module reads one format and gives a `Draft`; `project_file` finds the file and its format, and writes the text.
"""
