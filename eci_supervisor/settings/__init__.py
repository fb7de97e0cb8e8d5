"""The admin's file: read strictly, checked, compiled to model.settings; and what it says of an image."""
