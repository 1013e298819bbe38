// The gallery: filters, order, the large view.
