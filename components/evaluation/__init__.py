"""Steps that judge a model by a backtest: the float model, then its compressed variants."""
