// A glazed mug on a table, in studio light. CC0, made for zhentu. Mask=1 renders the goods white on black.
#version 3.7;
#include "colors.inc"
#include "woods.inc"
#ifndef (Mask) #declare Mask = 0; #end
global_settings { assumed_gamma 1.0 }
camera { location <0.9, 3.4, -7.2> look_at <0.1, 1.15, 0> angle 33 right x*4/3 }
#declare Body = union {
  difference {
    lathe { cubic_spline 8, <0.0,-0.1>,<0.0,0.0>,<1.02,0.04>,<1.16,0.3>,<1.2,1.3>,<1.22,2.3>,<1.19,2.42>,<1.1,2.5> }
    cylinder { <0,0.22,0>, <0,2.6,0>, 1.09 }
  }
  difference {
    torus { 0.66, 0.16 rotate x*90 scale <0.95,1.12,1> translate <1.25,1.25,0> }
    cylinder { <0,0,0>, <0,2.6,0>, 1.14 }
  }
  cylinder { <0,0.1,0>, <0,0.2,0>, 1.05 }
}
#if (Mask)
  global_settings { ambient_light rgb 1 }
  object { Body pigment { rgb 1 } finish { ambient 0 emission 1 diffuse 0 } }
#else
  light_source { <-6,9,-7> rgb <1.0,0.97,0.92>*0.95 area_light x*3, z*3, 5, 5 adaptive 1 jitter }
  light_source { <8,5,-4> rgb <0.75,0.85,1.0>*0.35 area_light y*3, z*3, 4, 4 adaptive 1 jitter }
  object { Body
    texture { pigment { gradient y scale 2.5 color_map { [0.0 rgb <0.10,0.23,0.33>] [0.30 rgb <0.11,0.26,0.37>] [0.31 rgb <0.86,0.83,0.76>]
      [0.78 rgb <0.88,0.85,0.78>] [0.79 rgb <0.10,0.23,0.33>] [0.84 rgb <0.10,0.23,0.33>] [0.85 rgb <0.86,0.83,0.76>] [1.0 rgb <0.86,0.83,0.76>] } turbulence 0.012 }
      normal { bumps 0.05 scale 0.12 } finish { ambient 0.08 diffuse 0.75 specular 0.55 roughness 0.012 reflection { 0.03, 0.14 } } } }
  cylinder { <0,0.3,0>, <0,1.98,0>, 1.08 pigment { rgb <0.13,0.06,0.03> } finish { specular 0.6 roughness 0.006 reflection 0.08 } }
  plane { y, 0 texture { T_Wood23 scale 2.2 rotate <0,68,0> } finish { ambient 0.06 diffuse 0.7 specular 0.12 roughness 0.05 } normal { granite 0.03 scale 0.6 } }
  plane { -z, -9 pigment { bozo scale 3 color_map { [0 rgb <0.62,0.60,0.56>] [1 rgb <0.70,0.68,0.64>] } } normal { granite 0.06 scale 0.8 } finish { ambient 0.1 diffuse 0.7 } }
#end
