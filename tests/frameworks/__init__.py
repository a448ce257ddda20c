"""`KeyAuth` under real frameworks and servers, over sockets."""
