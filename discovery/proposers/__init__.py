"""Where new heuristics come from: interchangeable proposers behind one ask/tell seam."""
