// Words that are explained a hover away.
