"""Networks of the field that EfficientECG is compared with, written from their papers.

`config` has the families' configurations, `*_plan` their exact sizes, `cost` what they cost;
`residual`, `inception` and `cnn_lstm` are the networks.
"""
