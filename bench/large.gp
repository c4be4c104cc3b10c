# SPDX-License-Identifier: Apache-2.0
# Whole layers in and out. `data`: a line "what" ours Go, in seconds; `svg`: where to.
set terminal svg size 760,520 font "sans,13" background rgb "white"
set output svg
set xlabel "seconds"
set xrange [0:*]
set grid x
set key top right
set style fill solid 0.9 noborder
stats data using 2 nooutput
n = STATS_records
set yrange [n-0.4:-0.6]
set lmargin 34
plot data using ($2/2):($0-0.18):($2/2):(0.16):ytic(1) with boxxyerror linecolor rgb "#2a6f97" title "ours", \
	data using ($3/2):($0+0.18):($3/2):(0.16) with boxxyerror linecolor rgb "#c9ada7" title "Go command"
