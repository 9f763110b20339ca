"""Jets from Pythia 8 and FastJet with tracks, vertices and the inputs of several taggers; `kerastag simulate` makes samples.

Needs the extra `simulation`. Generation (`generator`), detector (`calorimeter`, `tracking`) and reconstruction (`vertexing`,
`energy_flow`, `jet_inputs`, `deepcsv_inputs`, `candidate_inputs`) follow one another in `unit`; `production` makes files of
any size. `variations` lists what can be mismodelled; a `batch` keeps the random numbers with which its events are measured
again.
"""
