"""build_features: the series store through Apache Beam into the feature store."""
