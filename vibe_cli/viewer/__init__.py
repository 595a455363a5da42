"""A finished run as one page for the browser: the clip beside everybody in 3D; nothing is fetched from anywhere.

stage.py  where everybody stands, above a floor         scene.py  the same as numbers for the page, packed
clip.py   the pictures, small                           page.py   all in one HTML file      server.py  shows it here

The page's own code lies beside: page.html, page.css and *.js, in the order of page.py's SCRIPTS.
"""
