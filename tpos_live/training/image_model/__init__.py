"""Training of Ember."""
