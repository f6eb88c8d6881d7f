# For tests: in the place of OpenWrt's rules.mk. What a package needs of it is told on make's command line.
INSTALL_DIR:=install -d -m0755
CP:=cp -fpR
