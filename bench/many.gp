# SPDX-License-Identifier: Apache-2.0
# What a command takes in stores of more and more layers. `data`: blocks "verb, who" of layers, median, quartiles in ms; `svg`: where to.
set terminal svg size 760,420 font "sans,13" background rgb "white"
set output svg
set logscale xy
set xlabel "layers in the store"
set ylabel "milliseconds"
set xrange [7:80000]
set grid
set key outside right top
set format y "%g"
set datafile columnheaders
stats data using 1 nooutput
plot for [i=0:STATS_blocks-1] data index i using 1:2 with linespoints \
	linecolor i/2+1 dashtype i%2+1 pointtype 7-i%2 title columnheader(1)
