"""`tpos-live evaluate`: figures on model cards. The runtime never imports it."""
