#!/bin/sh
# Makes the package schema of the types of the API, by the API's own generator.
exec go tool openapi-gen --output-dir schema --report-filename /dev/null \
  --output-pkg github.com/tokenep/caddy-tokenep/caddymodule/testdata/kubernetes/schema \
  k8s.io/api/apps/v1 k8s.io/api/core/v1 k8s.io/api/networking/v1 k8s.io/api/policy/v1 \
  k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime \
  k8s.io/apimachinery/pkg/api/resource k8s.io/apimachinery/pkg/util/intstr
