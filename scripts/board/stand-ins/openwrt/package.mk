# For tests: in the place of OpenWrt's include/package.mk: a target for each thing that OpenWrt does with a package.
.PHONY: fields files-of-owner before-removal prepare compile install

define BuildPackage
$(eval $(Package/$(1)))
fields:
	$$(info Package: $(PKG_NAME))
	$$(info Version: $(PKG_VERSION)-r$(PKG_RELEASE))
	$$(info License: $(PKG_LICENSE))
	$$(info Maintainer: $(PKG_MAINTAINER))
	$$(info Section: $(SECTION))
	$$(info Description:  $(TITLE))
	$$(info Require-User: $(USERID))
	$$(info Needs: $(DEPENDS))
	$$(info Built after: $(PKG_BUILD_DEPENDS))
files-of-owner:
	$$(info $$(Package/$(1)/conffiles))
before-removal:
	$$(info $$(Package/$(1)/prerm))
prepare:
	$$(Build/Prepare)
compile: prepare
	$$(Build/Compile)
install:
	$$(call Package/$(1)/install,$$(DESTDIR))
endef
