;; attacks: limits.deadline and limits.fuel, with two functions that call each other and never themselves
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: fuel=5000000
;; gets: resource_exhausted limit=fuel
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (func $even (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
    (drop (call $odd (i32.sub (local.get 0) (i32.const 1))))
    (call $odd (i32.sub (local.get 0) (i32.const 1))))
  (func $odd (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
    (drop (call $even (i32.sub (local.get 0) (i32.const 1))))
    (call $even (i32.sub (local.get 0) (i32.const 1))))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (return (call $answer (i64.extend_i32_u (call $even (i32.const 90)))))))
