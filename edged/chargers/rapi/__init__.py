"""OpenEVSE controllers: RAPI, their protocol of short ASCII lines over a serial port."""
