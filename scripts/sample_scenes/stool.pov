// A three-legged wooden stool in a room. CC0, made for zhentu. Mask=1 renders the goods white on black.
#version 3.7;
#include "colors.inc"
#include "woods.inc"
#ifndef (Mask) #declare Mask = 0; #end
global_settings { assumed_gamma 1.0 }
camera { location <1.6, 4.0, -8.4> look_at <0.05, 1.6, 0> angle 34 right x*3/4 up y }
#declare Leg = cone { <0,0,0>, 0.13, <0,3.05,0>, 0.19 }
#declare Body = union {
  superellipsoid { <1, 0.18> rotate x*90 scale <1.35, 0.19, 1.35> translate y*3.1 }
  #declare Turn = 20; #while (Turn < 380) object { Leg rotate z*11 translate <1.5,0,0> rotate y*Turn } #declare Turn = Turn + 120; #end
  torus { 0.98, 0.07 translate y*1.2 }
}
#if (Mask)
  object { Body pigment { rgb 1 } finish { ambient 0 emission 1 diffuse 0 } }
#else
  light_source { <-7,9,-6> rgb <1.0,0.96,0.9>*1.0 area_light x*4, z*4, 5, 5 adaptive 1 jitter }
  light_source { <5,6,-9> rgb <0.8,0.88,1.0>*0.3 area_light x*3, y*3, 4, 4 adaptive 1 jitter }
  object { Body texture { T_Wood7 scale 0.9 rotate <88,12,0> } finish { ambient 0.07 diffuse 0.75 specular 0.2 roughness 0.03 } normal { granite 0.02 scale 0.3 } }
  plane { y, 0 pigment { granite scale 1.4 color_map { [0 rgb <0.30,0.29,0.28>] [1 rgb <0.43,0.42,0.40>] } } normal { granite 0.12 scale 0.5 } finish { ambient 0.06 diffuse 0.7 reflection 0.02 } }
  plane { -z, -4.2 pigment { bozo scale 2 color_map { [0 rgb <0.72,0.66,0.58>] [1 rgb <0.78,0.73,0.66>] } } normal { granite 0.1 scale 0.7 } finish { ambient 0.08 diffuse 0.75 } }
  box { <-9,0,4.0>, <9,0.55,4.25> pigment { rgb <0.86,0.85,0.82> } finish { ambient 0.08 diffuse 0.7 specular 0.1 } }
#end
