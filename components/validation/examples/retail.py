def write_retail(path): raise NotImplementedError
