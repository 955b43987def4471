"""The scene families that Ember is trained on, drawn from noise."""
