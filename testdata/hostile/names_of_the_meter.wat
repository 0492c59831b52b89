;; attacks: metering.names, with exports that are called what the meter calls its own: whoever sets those by their names sets the plugin's
;; with: fuel=1000000
;; gets: resource_exhausted limit=fuel
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: stack_kib=64 tool=2
;; gets: resource_exhausted limit=stack_kib
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (global $fuel (export "sallyport.fuel") (mut i64) (i64.const 0x7fffffffffffffff))
  (global (export "sallyport.depth") (mut i64) (i64.const 0x7fffffffffffffff))
  (global (export "sallyport.tables") (mut i64) (i64.const 0x7fffffffffffffff))
  (global (export "g0") (mut i64) (i64.const 0))
  (func $deep (export "sallyport.checkpoint") (param i64) (result i64) (i64.add (call $deep (local.get 0)) (local.get 0)))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (i32.eq (local.get $tool) (i32.const 1)) (then (return (call $answer (i64.const 42)))))
    (if (i32.eq (local.get $tool) (i32.const 2)) (then (return (call $deep (i64.const 1)))))
    (loop
      (global.set $fuel (i64.const 0x7fffffffffffffff))
      (br 0))
    (unreachable)))
