"""How well a classifier does: metrics, and answers about records from answers about segments."""
