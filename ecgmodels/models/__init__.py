"""Networks: their configurations, exact sizes and costs (without torch), and their modules."""
