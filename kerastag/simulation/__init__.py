"""Jets from Pythia 8 and FastJet with tracks, vertices and the inputs of two taggers; `kerastag simulate` makes samples.

Needs the extra `simulation`. Generation (`generator`), detector (`calorimeter`, `tracking`) and reconstruction (`vertexing`,
`jet_inputs`, `deepcsv_inputs`) follow one another in `unit`; `production` makes files of any size. `variations` lists what can
be mismodelled; a `batch` keeps the random numbers with which its events are measured again.
"""
